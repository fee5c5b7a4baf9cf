"""vecdb as a store of the frameworks that people build with: LangChain, Haystack and LlamaIndex.

Each module needs its framework, which an extra of the same name installs; none is imported by vecdb itself.
"""
