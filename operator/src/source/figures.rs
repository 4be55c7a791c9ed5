//! A Source's figures in its status.

use headworks_crds::SourceStatus;

use crate::workload::figures::shows_a_rate;

shows_a_rate!(SourceStatus);
