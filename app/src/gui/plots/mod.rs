//! stub
use std::path::Path;
use std::collections::BTreeMap;
use eframe::egui;
use super::theme::Theme;
use onestep_core::files::FileError;
pub struct Charts;
pub enum Request { SaveCsv, SavePng(egui::Rect), ChooseComparison }
impl Charts {
    pub fn new() -> Self { Self }
    pub fn add(&mut self, _step: u64, _values: &BTreeMap<String, f64>) {}
    pub fn set_accuracy(&mut self, _by_level: &[f32], _sigma: [f32; 2]) {}
    pub fn mark(&mut self, _step: u64, _text: String) {}
    pub fn clear(&mut self) {}
    pub fn load(&mut self, _run: &Path) -> Result<(), String> { Ok(()) }
    pub fn compare(&mut self, _run: &Path) -> Result<(), String> { Ok(()) }
    pub fn show(&mut self, _ui: &mut egui::Ui, _theme: &Theme) -> Option<Request> { None }
    pub fn write_csv(&self, _path: &Path) -> Result<(), FileError> { Ok(()) }
    pub fn save_picture(_path: &Path, _screenshot: &egui::ColorImage, _rect: egui::Rect, _ppp: f32) -> Result<(), FileError> { Ok(()) }
}
