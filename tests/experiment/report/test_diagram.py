"""The picture of the network: up to date, and with the names of the code."""

import xml.etree.ElementTree as ElementTree

from conftest import PROJECT

from experiment.report.diagram import network
from graph.weights import Weights

FILE = PROJECT / "docs" / "network.svg"


def test_the_committed_picture_is_what_the_command_draws():
    assert network() == FILE.read_text()


def test_its_names_are_those_of_the_variables_and_its_numbers_those_of_the_steps():
    texts = " ".join(
        text.strip() for text in ElementTree.parse(FILE).getroot().itertext() if text.strip()
    )
    for name in Weights._fields[1:]:
        assert name in texts
    # The names of boxes have numbers too.
    assert set("1234567") <= {word for word in texts.split() if word.isdigit()}
