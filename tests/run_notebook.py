"""Reads a notebook, and runs it from the top in a clean kernel."""

import nbformat
from nbclient import NotebookClient


def read(path):
    return nbformat.read(path, as_version=4)


def execute(notebook, folder, timeout=300, **options):
    """Runs it in this folder; `options` are of the kernel."""
    resources = {"metadata": {"path": folder}}
    client = NotebookClient(notebook, timeout=timeout, kernel_name="python3", resources=resources)
    client.execute(**options)


def executed(path, parameters, last_cell, **options):
    """The notebook after a run with these parameters and one more cell, whose id is "last"."""
    notebook = read(path)
    (cell,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    cell.source = parameters
    notebook.cells.append(nbformat.v4.new_code_cell(last_cell, id="last"))
    execute(notebook, path.parent, **options)
    return notebook


def printed(notebook, cell_id):
    (cell,) = (cell for cell in notebook.cells if cell.id == cell_id)
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")
