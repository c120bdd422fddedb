"""``python -m ranvier``."""

from ranvier.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
