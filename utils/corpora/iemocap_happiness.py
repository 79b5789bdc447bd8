"""IEMOCAP with happiness alone, excitement left out: the paper's improvised part.

A corpus of its own, because its segments, models and reports are; the files are those
of `IEMOCAP`. `-dn IEMOCAP-HAPPINESS -at impro` selects the 2280 utterances.
"""

import dataclasses
import functools

from utils.corpora import iemocap

CORPUS = dataclasses.replace(
    iemocap.CORPUS,
    name="IEMOCAP-HAPPINESS",
    read=functools.partial(
        iemocap.read_release,
        corpus="IEMOCAP-HAPPINESS",
        label_of_code=iemocap.HAPPINESS_ALONE,
        documented=iemocap.DOCUMENTED_ALONE,
        documented_impro=iemocap.DOCUMENTED_IMPRO_ALONE,
    ),
)
