"""Full text and learned sparse vectors: which rows have these terms, and which of them are about the query?"""
