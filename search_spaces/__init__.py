"""Search spaces: the domains of hyperparameters, and what their values may be."""

from search_spaces.constraints import Constraint
from search_spaces.domains import (
    Choice,
    Constant,
    Domain,
    Grid,
    Int,
    LogInt,
    LogUniform,
    Uniform,
    When,
)
from search_spaces.errors import SpaceError, nearest, shorten
from search_spaces.loader import load_space, shipped_spaces
from search_spaces.space import Config, Parameter, Space
from search_spaces.values import as_python, decode, encode, fresh, from_json, hashable, in_words, plain, same, to_json
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
    "Space",
    "SpaceError",
    "Uniform",
    "When",
    "as_python",
    "decode",
    "encode",
    "fresh",
    "from_json",
    "hashable",
    "in_words",
    "load_space",
    "nearest",
    "plain",
    "read_yaml",
    "same",
    "shipped_spaces",
    "shorten",
    "to_json",
    "to_yaml",
]
