"""The published products; `python -m experiment.report PRODUCT` makes one."""
