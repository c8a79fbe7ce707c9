"""The timeline of live events: what ran where and when, as a trace, a page, or figures.

Only the command line imports this package. The page needs plotly:
`pip install 'enact_pool[timeline]'`.
"""

from enact_pool.timeline.chrome import chrome_trace
from enact_pool.timeline.figures import TimelineFigures, timeline_figures
from enact_pool.timeline.file import write_timeline
from enact_pool.timeline.page import timeline_html

__all__ = [
    "TimelineFigures",
    "chrome_trace",
    "timeline_figures",
    "timeline_html",
    "write_timeline",
]
