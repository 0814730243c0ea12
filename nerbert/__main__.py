"""`python -m nerbert` is the command `nerbert`."""

from nerbert.cli import main

if __name__ == "__main__":
    main()
