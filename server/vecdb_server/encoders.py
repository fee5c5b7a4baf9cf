"""The encoders that the configuration names. What a client names is never loaded, and nothing is downloaded."""

from vecdb.encoders.base import TextEncoder
from vecdb.encoders.lookup_sparse import LookupSparse
from vecdb.encoders.sentence_transformer import SentenceTransformer
from vecdb.encoders.tokens import SentenceTokens, TokenEncoder
from vecdb.errors import InvalidInputError, VecdbError
from vecdb_server.config import EncoderSection

Encoder = TextEncoder | TokenEncoder | LookupSparse


def configured(name: str, told: str | EncoderSection) -> Encoder:
    """Return an encoder of the configuration.

    Raises:
        InvalidInputError: the section does not say what it is, or a file of it is something else.
        NotFoundError: a file, or the folder of the model, is not there.
        EncoderError: the folder has no weights of a model.
        MissingExtraError: the library that reads it is not installed.

    """
    section = EncoderSection(model=told) if isinstance(told, str) else told
    if bool(section.model) == bool(section.tokenizer):
        raise InvalidInputError(
            f"encoders.{name} needs either a model or, for sparse vectors, a tokenizer", field=f"encoders.{name}"
        )
    if section.table and not section.tokenizer:
        raise InvalidInputError(
            f"encoders.{name} has a table and a model: a table belongs to a tokenizer", field=f"encoders.{name}.table"
        )
    if section.tokens and not section.model:
        raise InvalidInputError(
            f"encoders.{name} has tokens = true and no model, which makes the vectors of tokens",
            field=f"encoders.{name}.tokens",
        )
    try:
        if section.tokenizer:
            # The operator's name stays when files are moved, and tells those without a table apart.
            return LookupSparse.of_files(section.tokenizer, section.table or None, name=name)
        model = SentenceTransformer(section.model, local_files_only=True)
        model.check()  # it is loaded when it is first used, which would be late to learn that it is not there
    except VecdbError as error:
        raise type(error)(f"encoders.{name}: {error}") from error
    return SentenceTokens(model) if section.tokens else model
