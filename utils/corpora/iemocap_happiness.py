"""IEMOCAP without excitement, as in the paper's experiments on improvised speech.

It reads the files of `IEMOCAP` but is a separate corpus with separate segments, models
and reports. `-dn IEMOCAP-HAPPINESS -at impro` selects the paper's 2280 utterances.
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
