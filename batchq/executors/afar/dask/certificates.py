"""The certificates that Dask's own configuration names for a client: what is wrong with them, before Dask uses them.

Dask reports of a file that is missing neither which one it is nor who named it, and has OpenSSL ask the terminal for the
passphrase of a key, in the midst of a run.
"""

import os
import ssl

from distributed import Security

from batchq.executors.afar.unfit import Unfit, in_one_line

_NAMES = {
    "tls_ca_file": "ca-file",
    "tls_client_cert": "client.cert",
    "tls_client_key": "client.key",
}  #: attributes of Security, and their keys below distributed.comm.tls


def check() -> None:
    """Look at them. Raises Unfit if Dask could not use them."""
    try:
        security = Security()
    except Exception as error:
        raise Unfit(f"the configuration of Dask cannot be used: {in_one_line(error)}") from None
    named = {key: getattr(security, name) for name, key in _NAMES.items()}
    for key, value in named.items():
        if value is None and key != "client.key":  # which may be in the file of the certificate
            raise Unfit(f"the configuration of Dask names no distributed.comm.tls.{key}, which TLS needs")
    if any("\n" in value for value in named.values() if value):  # the text itself instead of a file
        return
    for key, value in named.items():
        if value is not None:
            _read(key, value)
    try:
        ssl.create_default_context(cafile=named["ca-file"])
    except ssl.SSLError as error:
        raise Unfit(f"{_file('ca-file', named['ca-file'])} is not a certificate: {in_one_line(error)}") from None
    _match(named["client.cert"], named["client.key"])


def _match(cert: str, key: str | None) -> None:
    asked = []

    def passphrase() -> str:
        asked.append(True)
        return ""

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert, key, passphrase)
    except (ssl.SSLError, ValueError) as error:
        of_key = _file("client.cert" if key is None else "client.key", key or cert)
        if asked:
            raise Unfit(f"{of_key} wants a passphrase, which Dask cannot give: it must be without one") from None
        of_cert = _file("client.cert", cert)
        raise Unfit(f"{of_key} is not the key of {of_cert}: {in_one_line(error)}") from None


def _read(key: str, path: str) -> None:
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        problem = "it is a folder" if os.path.isdir(path) else None
    except OSError as error:
        problem = error.strerror
    if problem is not None:
        raise Unfit(f"{_file(key, path)} cannot be read: {problem}")


def _file(key: str, path: str) -> str:
    return f"{path} (distributed.comm.tls.{key} of Dask's configuration)"
