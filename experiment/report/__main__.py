"""`python -m experiment.report PRODUCT` makes one part of the published results."""

import importlib
import sys

from experiment.errors import exit_on_user_error

# Each is the `make` of the module of that name.
PRODUCTS = {
    "experiments": "the runs of presets/experiments.toml, in results/",
    "tables": "results/README.md and the tables of other pages",
    "pictures": "results/shift, strip and costs",
    "timeline": "results/timeline",
    "claims": "results/claims.md, the post's claims judged",
    "speed": "tables and pictures of results/bench.json",
    "page": "results/report.html",
    "readme": "the tables within README.md, docs/, tests/README.md and the notebooks",
    "logs": "traces/*.log",
}


def main() -> None:
    """Makes the product that the command line names."""
    if len(sys.argv) != 2 or sys.argv[1] not in PRODUCTS:
        usage = "\n".join(f"  {name:12}{text}" for name, text in PRODUCTS.items())
        sys.exit(f"usage: python -m experiment.report PRODUCT, which is one of\n{usage}")
    with exit_on_user_error():
        importlib.import_module(f"experiment.report.{sys.argv[1]}").make()


if __name__ == "__main__":
    main()
