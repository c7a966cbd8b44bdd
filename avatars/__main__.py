"""`python -m avatars`, the same as the command `avatars`."""

import sys

from avatars.cli import main

if __name__ == "__main__":
    sys.exit(main())
