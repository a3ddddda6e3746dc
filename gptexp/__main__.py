"""`python -m gptexp` is `gptexp`."""

import os
import sys

import gptexp

# `python -m` puts the working directory first: a `socket.py` there would be taken for Python's own. Nothing is
# imported from there, as with `gptexp`, unless gptexp itself lies there.
_home = os.path.dirname(os.path.dirname(os.path.abspath(gptexp.__file__)))  # noqa: PTH100, PTH120
if sys.path[:1] == [os.getcwd()] != [_home]:  # noqa: PTH109
    del sys.path[0]

from gptexp.cli.main import main  # noqa: E402

if __name__ == "__main__":
    main()
