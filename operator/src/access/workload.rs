//! Users of Pipelines and Sources.
