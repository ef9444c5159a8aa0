"""`python -m quota_exporter`, the same as the program `quota-exporter`."""

from __future__ import annotations

from quota_exporter.cli import main

if __name__ == "__main__":
    main(prog_name="quota-exporter")
