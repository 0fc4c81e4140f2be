"""What a Python function does to its arguments is its own business: the next try is called with what was approved."""

from __future__ import annotations

from signoff.capabilities.tools import ToolRunner
from signoff.catalog.projects import load_project_files

CODE = b"""
def drain(arguments):
    lines = arguments["order"]["lines"]
    taken = [lines.pop()["sku"] for _ in range(len(lines))]
    arguments["order"]["sent"] = True
    return {"taken": taken}

async def drain_async(arguments):
    return drain(arguments)
"""
TOOL = """tool: {name}
about: Takes all lines.
effect: none
python: "tools/code.py:{name}"
input: {{type: object, properties: {{order: {{type: object}}}}, required: [order], additionalProperties: false}}
output: {{type: object}}
"""


async def test_a_function_that_empties_its_arguments_is_called_with_the_same_again():
    files = {"signoff.yaml": b"project: own\n", "tools/code.py": CODE}
    files |= {f"tools/{name}.yaml": TOOL.format(name=name).encode() for name in ("drain", "drain_async")}
    made, runner = load_project_files(files), ToolRunner()
    arguments = {"order": {"lines": [{"sku": "a"}, {"sku": "b"}]}}
    for name in ("drain", "drain_async", "drain"):
        result = await runner.call(made.tools[name], arguments, files=made.files)
        assert result.output == {"taken": ["b", "a"]}
    assert arguments == {"order": {"lines": [{"sku": "a"}, {"sku": "b"}]}}
    await runner.close()
