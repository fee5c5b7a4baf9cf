"""MUVERA as an index: each row's tokens become one vector, whose codes say which rows are worth MaxSim."""
