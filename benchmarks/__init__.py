"""The same works, done by enact_pool and by its peers, side by side in one run.

    __main__     options
       |
    measure      repeats each row, one contender after the other     -->  record
       |                                                                   |
    stand        one process for each contender, which times it      report, picture
       |
    contenders   how each library is asked to do a row
       |
    works        the rows: how many tasks, of which kind
       |
    tasks        what runs in the workers

`facts` times what can be done only once in a process: imports, first calls.
"""
