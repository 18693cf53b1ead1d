"""Factories of pools, as users name them with --executor."""

import multiprocessing
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor


def threads() -> Executor:
    return ThreadPoolExecutor(2)


def forkserver() -> Executor:
    return ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("forkserver"))


def fork() -> Executor:
    return ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork"))
