//! stub
use std::path::Path;
use eframe::egui;
use super::theme::Theme;
pub struct Explore;
pub enum Request { OpenModel }
impl Explore {
    pub fn new(_device: String) -> Self { Self }
    pub fn open(&mut self, _m: &Path, _c: &egui::Context) {}
    pub fn show(&mut self, _ui: &mut egui::Ui, _theme: &Theme) -> Option<Request> { None }
}
