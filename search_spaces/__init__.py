"""What may vary: the domains of hyperparameters and the spaces they make up."""

from search_spaces.constraints import Constraint
from search_spaces.domains import (
    Choice,
    Constant,
    Domain,
    Grid,
    Int,
    LogInt,
    LogUniform,
    Scalar,
    Uniform,
    When,
)
from search_spaces.errors import SpaceError, nearest, shorten
from search_spaces.loader import load_space, shipped_spaces
from search_spaces.space import Config, Parameter, Space
from search_spaces.yaml_file import read_yaml, to_yaml

__all__ = [
    "Choice",
    "Config",
    "Constant",
    "Constraint",
    "Domain",
    "Grid",
    "Int",
    "LogInt",
    "LogUniform",
    "Parameter",
    "Scalar",
    "Space",
    "SpaceError",
    "Uniform",
    "When",
    "load_space",
    "nearest",
    "read_yaml",
    "shipped_spaces",
    "shorten",
    "to_yaml",
]
