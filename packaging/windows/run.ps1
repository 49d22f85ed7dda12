# What the Makefile does, for Windows: .\packaging\windows\run.ps1 [run|setup|test|lint|bench|screenshots|clean]
#
#   -Gpu cuda      build llama-cpp-python for a GPU: vulkan, cuda or rocm; cpu goes back
#   -Python py     another Python to make .venv from
#   the rest       is handed on to the app, to pytest or to the benchmarks
#
# Compiling llama.cpp needs the C++ build tools of Visual Studio ("Desktop development with C++").
param(
    [ValidateSet('run', 'setup', 'test', 'lint', 'bench', 'screenshots', 'clean')]
    [string] $Command = 'run',
    [ValidateSet('', 'cpu', 'vulkan', 'cuda', 'rocm')]
    [string] $Gpu = '',
    [string] $Python = 'python',
    [Parameter(ValueFromRemainingArguments = $true)]
    [string[]] $Rest = @()
)

Set-Location (Join-Path $PSScriptRoot '..\..')
$venv = '.venv\Scripts'

function Stop-OnFailure {
    if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
}

if ($Command -eq 'clean') {
    Remove-Item -Recurse -Force -ErrorAction SilentlyContinue .venv, build, dist, *.egg-info, .mypy_cache, .ruff_cache, .pytest_cache, .hypothesis
    exit 0
}

if (-not (Get-Command $Python -ErrorAction SilentlyContinue)) {
    [Console]::Error.WriteLine("Ember: there is no $Python here; install Python 3.11 or newer, or name it with -Python.")
    exit 1
}

$options = @()
if ($Gpu) { $options += @('--gpu', $Gpu) }
if ($Command -eq 'run') { $options += '--window' }
if ($Command -notin 'run', 'setup') { $options += '--tests' }
& $Python packaging\environment.py @options
Stop-OnFailure

if ($Command -in 'test', 'bench', 'screenshots') { $env:QT_QPA_PLATFORM = 'offscreen' }
switch ($Command) {
    'run' { & "$venv\python.exe" -m app @Rest }
    'test' { & "$venv\python.exe" -m pytest -n logical --maxprocesses 4 --dist worksteal @Rest }
    'bench' { & "$venv\python.exe" -m tests.bench @Rest }
    'screenshots' { & "$venv\python.exe" -m tests.support.screenshots @Rest }
    'lint' {
        & "$venv\python.exe" -m ruff check . ; Stop-OnFailure
        & "$venv\python.exe" -m ruff format --check . ; Stop-OnFailure
        & "$venv\python.exe" -m mypy --strict app ; Stop-OnFailure
        & "$venv\lint-imports.exe"
    }
}
exit $LASTEXITCODE
