from gptexp.records import *  # noqa: F403  temporary
