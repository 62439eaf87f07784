//~ frames of `U16Be` cannot be found again after an error
//~ there is neither a check nor a mark to find a frame by
pub fn main() {
    let _ = unstick::FrameBuf::growing(unstick::U16Be).resync();
}
