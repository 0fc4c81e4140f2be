"""Tools: what a step may call outside, by contract, over HTTP or as the project's own Python functions."""

from signoff.capabilities.tools.model import SecretSource, ToolResult, ToolSettings
from signoff.capabilities.tools.runner import ToolRunner
from signoff.capabilities.tools.secrets import environment_secrets

__all__ = ["SecretSource", "ToolResult", "ToolRunner", "ToolSettings", "environment_secrets"]
