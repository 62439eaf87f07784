//! The two families of wires: `counted`, where a header announces the payload's length, and `marked`,
//! where a mark ends the frame. Here the parts of the layers below become a [`Wire`](crate::Wire).

mod counted;
mod marked;
