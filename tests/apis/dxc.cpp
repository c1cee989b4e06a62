// `dxc FILE...`: does Microsoft's shader compiler take these compute shaders? Prints, for each file, `ok FILE` or
// `refused FILE: why`. Built against the headers that come with the library.

#include "dxcapi.h"

#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

/// What a compilation said, on one line; empty if it gave a program.
static std::string complaint(IDxcCompiler3 *compiler, const std::string &text) {
  const wchar_t *arguments[] = {L"-T", L"cs_6_0", L"-E", L"main", L"-HV", L"2018", L"-O3"};
  const DxcBuffer source = {text.data(), text.size(), DXC_CP_UTF8};
  CComPtr<IDxcResult> result;
  HRESULT status = compiler->Compile(&source, arguments, 7, nullptr, IID_PPV_ARGS(&result));
  if (SUCCEEDED(status))
    result->GetStatus(&status);
  if (SUCCEEDED(status))
    return "";
  CComPtr<IDxcBlobUtf8> errors;
  std::string said = "no reason given";
  if (result && SUCCEEDED(result->GetOutput(DXC_OUT_ERRORS, IID_PPV_ARGS(&errors), nullptr)) && errors)
    said = std::string(errors->GetStringPointer(), errors->GetStringLength());
  for (char &c : said)
    if (c == '\n')
      c = ' ';
  return said;
}

int main(int count, char **files) {
  CComPtr<IDxcCompiler3> compiler;
  if (FAILED(DxcCreateInstance(CLSID_DxcCompiler, IID_PPV_ARGS(&compiler))))
    return 2;
  for (int i = 1; i < count; ++i) {
    std::ifstream file(files[i], std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const std::string why = complaint(compiler, text);
    if (why.empty())
      std::printf("ok %s\n", files[i]);
    else
      std::printf("refused %s: %s\n", files[i], why.c_str());
    std::fflush(stdout);
  }
}
