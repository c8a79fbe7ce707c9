"""Values of the caller's side: ids, results, errors, limits, and summaries of them.

They know no process. They import `_python` only.
"""
