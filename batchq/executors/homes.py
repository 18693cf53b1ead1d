"""Which worker may perform which callable: whatever a process has from its start is the same for all its callables."""

import json
from collections.abc import Iterable
from itertools import takewhile
from operator import attrgetter

from batchq.jobs.attempt import Claim
from batchq.processes.resident import Home

#: Variables that a process reads once or when it starts: of Python, the loader, the C library and what numpy uses.
STARTING = (
    "PYTHON", "LD_", "DYLD_", "LC_", "LANG", "TZ", "MALLOC_", "GLIBC_TUNABLES", "ASAN_", "OMP_", "KMP_", "GOMP_", "MKL_",
    "OPENBLAS_", "BLIS_", "NUMEXPR_", "VECLIB_", "GOTO_", "CUDA_", "NVIDIA_", "HIP_", "ROCR_", "JAX_", "XLA_", "TF_",
    "NUMBA_", "RAYON_", "POLARS_", "TOKENIZERS_", "MPLBACKEND", "MPLCONFIGDIR", "OPENSSL_", "SSL_CERT_", "GCONV_PATH",
    "NLSPATH", "RES_OPTIONS", "HOSTALIASES", "LOCPATH", "TMPDIR", "TEMP", "TMP", "JOBLIB_", "LOKY_",
)  # fmt: skip


def home_of(claim: Claim) -> Home:
    """Return the home that a callable needs."""
    named = {} if claim.env is None else json.loads(claim.env)
    starting = tuple(sorted((name, value) for name, value in named.items() if name.startswith(STARTING)))
    return Home(claim.cwd, claim.path, claim.python, starting)


def alike(claims: Iterable[Claim]) -> list[Claim]:
    """Return the first claim and those right after it that may share one message to a worker.

    A claim that is fresh or needs several slots shares with none.
    """
    rest = iter(claims)
    first = next(rest)
    if first.fresh or first.slots > 1:
        return [first]
    terms = _terms(first)
    return [first, *takewhile(lambda one: _terms(one) == terms, rest)]


_terms = attrgetter("kind", "env", "cwd", "path", "python", "slots", "fresh", "output", "keep_output")
