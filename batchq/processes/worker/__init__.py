"""What runs in a worker: a child process that performs one callable after the other, each as if it were alone.

    serving        the loop: a message of tasks comes, each is performed, an answer to each goes out
    wire           the form of messages and answers; all of the room that the runner imports
    functions      importing what is to be called, a phase of its own before the call
    sources        whether the files of a job's modules are as they were when they were imported
    endings        how a call ended: its result or its exception, as an answer says it
    surroundings   the process as the next callable is to find it, put together from the modules below
    streams        stdin, stdout and stderr, also as C libraries buffer them
    handlers       of signals, with mask and timers
    environment    the variables
    output         what short tasks print, kept apart in files
    threads        the threads that a call left
    children       the processes that a call left
    libc           functions of the C library

Each worker pays anew for what these import: little, of the standard library alone, and before the folder of a job is
where modules are looked for.
"""
