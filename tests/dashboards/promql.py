"""PromQL read as Prometheus does: which labels the series of a query have, and what is wrong.

A query is wrong if it asks for a series that nobody tells, for a label that a
series does not have, or matches series whose labels can never be equal: all of
which Prometheus answers with no data, and no error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import promql_parser as ast

#: Labels of a query's series.
Labels: TypeAlias = frozenset[str]

_NONE: Labels = frozenset()
_SETS = ("and", "or", "unless")
#: Aggregations that keep series as they are.
_CHOOSING = ("topk", "bottomk")
# Grafana's variables, with values that parse.
_VARIABLES = {"$__rate_interval": "4m", "$__range": "1h", "$__interval": "1m"}


def parsed(query: str) -> ast.Expr:
    """Return a query of a panel or a rule as a tree."""
    for variable, value in _VARIABLES.items():
        query = query.replace(f"[{variable}]", f"[{value}]")
    tree: ast.Expr = ast.parse(query)
    return tree


def labels_of(query: str, series: Mapping[str, Labels]) -> Labels | None:
    """Return the labels of a query's series; None for a scalar.

    Args:
        query: PromQL, with Grafana's variables.
        series: The labels of every series that there is, by name.

    Raises:
        ValueError: If it cannot be parsed.
        AssertionError: If it asks for what there is not.
    """
    return _Reader(series).read(parsed(query))


def finds(query: str, told: Iterable[str]) -> bool:
    """Return whether a query can find anything where only these series are told."""
    return _finds(parsed(query), frozenset(told))


def _finds(expr: Any, told: frozenset[str]) -> bool:  # noqa: PLR0911  # one for each kind of node
    match expr:
        case ast.VectorSelector():
            return expr.name in told
        case ast.MatrixSelector():
            return _finds(expr.vector_selector, told)
        case ast.BinaryExpr() if str(expr.op) == "or":
            return _finds(expr.lhs, told) or _finds(expr.rhs, told)
        case ast.BinaryExpr():
            return _finds(expr.lhs, told) and _finds(expr.rhs, told)
        case ast.Call():
            return all(_finds(argument, told) for argument in expr.args)
        case ast.NumberLiteral() | ast.StringLiteral():
            return True
    return _finds(expr.expr, told)


class _Reader:
    """Reads one query.

    Args:
        series: The labels of every series that there is, by name.
    """

    def __init__(self, series: Mapping[str, Labels]) -> None:
        self._series = series

    def read(self, expr: Any) -> Labels | None:  # noqa: PLR0911  # one for each kind of node
        """Return the labels of an expression's series; None for a scalar."""
        match expr:
            case ast.NumberLiteral() | ast.StringLiteral():
                return None
            case ast.ParenExpr() | ast.SubqueryExpr() | ast.UnaryExpr():
                return self.read(expr.expr)
            case ast.MatrixSelector():
                return self.read(expr.vector_selector)
            case ast.VectorSelector():
                return self._selector(expr)
            case ast.AggregateExpr():
                return self._aggregate(expr)
            case ast.BinaryExpr():
                return self._binary(expr)
            case ast.Call():
                return self._call(expr)
        raise AssertionError(f"what is {expr}?")

    def _selector(self, expr: ast.VectorSelector) -> Labels:
        name = expr.name or ""
        assert name in self._series, f"nobody tells {name}"
        labels = self._series[name]
        asked = {matcher.name for matcher in expr.matchers.matchers}
        assert asked <= labels, f"{name} has no label {asked - labels}"
        return labels

    def _aggregate(self, expr: ast.AggregateExpr) -> Labels:
        inner = self.read(expr.expr)
        assert inner is not None, f"{expr}: of a scalar"
        if expr.modifier is None:
            return inner if str(expr.op) in _CHOOSING else _NONE
        by = frozenset(expr.modifier.labels)
        assert expr.modifier.type == ast.AggModifierType.By, f"{expr}: say what is kept"
        assert by <= inner, f"{expr}: no label {set(by - inner)}"
        return by

    def _binary(self, expr: ast.BinaryExpr) -> Labels | None:
        left, right = self.read(expr.lhs), self.read(expr.rhs)
        if left is None or right is None:
            return right if left is None else left
        modifier = expr.modifier
        how = modifier.matching if modifier else None
        if modifier is not None and how is not None:
            assert how.type == ast.LabelModifierType.Include, f"{expr}: say on which labels"
            on = frozenset(how.labels)
            assert on <= left & right, f"{expr}: not both have {set(on - (left & right))}"
            one_to_one = modifier.card == ast.VectorMatchCardinality.OneToOne
            return on if one_to_one and str(expr.op) not in _SETS else left
        if str(expr.op) == "or":
            return left | right
        assert left == right, f"{expr}: the labels {set(left ^ right)} are not on both sides"
        return left

    def _call(self, expr: ast.Call) -> Labels | None:
        found = [self.read(argument) for argument in expr.args]
        vectors = [labels for labels in found if labels is not None]
        labels = vectors[0] if vectors else None
        match expr.func.name:
            case "scalar" | "time":
                return None
            case "absent":
                return _NONE
            case "days_in_month" | "day_of_month":
                return _NONE
            case "label_replace":
                assert labels is not None
                return labels | {expr.args[1].val}
            case "histogram_quantile":
                assert labels is not None
                assert "le" in labels, f"{expr}: no le"
                return labels - {"le"}
        assert labels is not None, f"{expr}: of a scalar"
        return labels
