"""JMESPath's interpreter with a bound on the work that it does for one document."""

from __future__ import annotations

from typing import Any

from jmespath.exceptions import JMESPathError
from jmespath.visitor import Options, TreeInterpreter

from quota_exporter.functions import OwnFunctions, Surroundings

# About half a second of work, many times what any mapping takes.
STEPS = 500_000
# Of one expression: it must not use up what the others need.
STEPS_OF_EXPRESSION = 200_000


class TooMuchWorkError(JMESPathError):
    """An expression that would go on for too long."""


class BoundedInterpreter(TreeInterpreter):
    """Evaluates syntax trees until `steps` are used up: one a node visited, and one for each eighth item it gives."""

    def __init__(self, surroundings: Surroundings, steps: int) -> None:
        super().__init__(Options(custom_functions=OwnFunctions(surroundings)))
        self._steps = steps
        self._left = 0

    def evaluate(self, node: Any, value: Any) -> Any:
        """Evaluate one expression; TooMuchWorkError, or any other exception of JMESPath, when that fails."""
        granted = self._left = min(self._steps, STEPS_OF_EXPRESSION)
        try:
            return self.visit(node, value)
        finally:
            self._steps -= granted - self._left

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        """Evaluate a node of the tree."""
        result = super().visit(node, *args, **kwargs)
        # copying and comparing take time too, by the size of what they work on
        self._left -= 1 + (len(result) >> 3 if type(result) in (list, dict, str) else 0)
        if self._left < 0:
            raise TooMuchWorkError
        return result
