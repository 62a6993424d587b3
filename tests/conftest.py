"""What every test is run with."""

import pytest

from tests.support.costs import Costs, Limit


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--costs", action="store_true", help="show which tests take how much processor time")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Limit(), "limit")
    if config.getoption("costs"):
        config.pluginmanager.register(Costs(), "costs")
