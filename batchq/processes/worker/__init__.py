"""What runs in a worker: a child process that calls one function after another, each as if it were alone.

    serving        the loop: a message of tasks comes, each is performed, an answer to each is sent
    wire           the format of messages and answers; the only module of this room that the runner imports
    answers        sending answers, and ringing the bell
    functions      importing the function, a phase of its own before the call
    folders        the folder of the worker: its name and its identity
    sources        whether the files of a job's modules have changed since they were imported
    endings        how a call ended: its result or its exception, in the form of an answer
    surroundings   the process as the next callable finds it, put together from the modules below
    settings       of the interpreter
    modules        settings that modules keep for the whole process
    kernel         settings that the kernel keeps of a process
    streams        stdin, stdout and stderr, even as C libraries buffer them
    handlers       of signals, with mask and timers
    environment    the variables
    memory         the peak memory
    output         the output of short tasks, kept apart in files
    threads        the threads that a call left
    children       the processes that a call left
    libc           functions of the C library

Each worker pays for these imports again, so they are few, only from the standard library, and done before the folder of a
job is on the path.
"""
