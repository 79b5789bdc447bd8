"""Which operators a `.tflite` file needs."""

from pathlib import Path

from ai_edge_litert import schema_py_generated as schema


def check_ops(path: Path) -> list[str]:
    """The operators of a model file, in order, each as often as it is there.

    Args:
        path: `.tflite` file.

    Returns:
        Names as in the schema; a custom one as `CUSTOM:name` (Flex operators are).
    """
    names = {number: name for name, number in vars(schema.BuiltinOperator).items()}
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    found = []
    for operator in (o for graph in model.subgraphs for o in graph.operators):
        code = model.operatorCodes[operator.opcodeIndex]
        name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        custom = (code.customCode or b"").decode()
        found.append(f"{name}:{custom}" if custom else name)
    return found
