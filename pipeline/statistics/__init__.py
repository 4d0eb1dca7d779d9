"""Statistics of scores: intervals for rates, paired comparison of arms, the verdict.

scipy does the mathematics of distributions, statsmodels that of models and of many tests at once.
"""

from pipeline.statistics.intervals import Rate, Share, clustered_rate, rate_of, wilson
from pipeline.statistics.paired import (
    Effect,
    Judgement,
    PairedTest,
    Rule,
    VerdictWord,
    by_cell,
    judge,
    paired_effect,
)
from pipeline.statistics.strata import Points, Stratum, stratified_mean

__all__ = [
    "Effect",
    "Judgement",
    "PairedTest",
    "Points",
    "Rate",
    "Rule",
    "Share",
    "Stratum",
    "VerdictWord",
    "by_cell",
    "clustered_rate",
    "judge",
    "paired_effect",
    "rate_of",
    "stratified_mean",
    "wilson",
]
