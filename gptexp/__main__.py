"""`python -m gptexp` is `gptexp`."""

from gptexp.cli.main import main

if __name__ == "__main__":
    main()
