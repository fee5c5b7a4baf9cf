"""A first look at vecdb: a real data set, and a tour that stores it and searches it.

    >>> import vecdb.demo
    >>> vecdb.demo.run("./vecdb-demo")          # or `vecdb demo`

tour.py        the tour: store, four searches, one question four ways, how exact they are, what to try next
ask.py         a question of the reader's own, where the extra `embed` is installed
searches.py    the four searches, each as a command line and as Python lines
ways.py        one question as nearest, diverse, linked and filtered rows
data.py        the rows, links and questions that ship with the package
build.py       makes the data files from WordNet and a model (with wordnet.py and encode.py); not needed to use them

Importing this package loads neither pyarrow nor the engine; its functions do.
"""

from vecdb.demo.ask import ask
from vecdb.demo.data import COLLECTION, links, load, queries, schema
from vecdb.demo.searches import Search, searches
from vecdb.demo.tour import DEFAULT_PATH, run

__all__ = ["COLLECTION", "DEFAULT_PATH", "Search", "ask", "links", "load", "queries", "run", "schema", "searches"]
