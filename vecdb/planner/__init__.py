"""From a question to rows: which parts are read how, and what comes first."""
