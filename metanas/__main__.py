"""``python -m metanas``: the command, where the folder of commands is not on the path."""

from metanas.cli import main

if __name__ == "__main__":
    main()
