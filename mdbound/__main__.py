"""`python -m mdbound` is the same as the `mdbound` command."""

from mdbound.cli import main

if __name__ == "__main__":
    main()
