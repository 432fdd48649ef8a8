"""`use.py` is a program for another environment (check.sh), not a test module."""

collect_ignore = ["use.py"]
