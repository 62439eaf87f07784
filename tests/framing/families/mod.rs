//! Every framing against the oracle: fixed lengths, checks after a payload, and marks that end a frame.

mod the_oracle;
