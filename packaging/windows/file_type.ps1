# Lets a double click on an .ember file open it in Ember, for this account: .\packaging\windows\file_type.ps1 [-Remove]
# Written by the documentation of Windows' file types; it has not been tried on a Windows computer.
param([switch] $Remove)

$ErrorActionPreference = 'Stop'
$classes = 'HKCU:\Software\Classes'
$type = 'Ember.Conversation'

if ($Remove) {
    foreach ($key in "$classes\$type", "$classes\.ember") {
        if (Test-Path $key) { Remove-Item -Recurse $key }
    }
} else {
    # Without a console; -P because the folder of the file, where Windows starts it, may hold another `app`.
    $python = Join-Path $PSScriptRoot '..\..\.venv\Scripts\pythonw.exe'
    if (-not (Test-Path $python)) {
        [Console]::Error.WriteLine('Ember: there is no .venv to start Ember with; run.ps1 setup makes it.')
        exit 1
    }
    $python = (Resolve-Path $python).Path
    New-Item -Force "$classes\.ember" -Value $type | Out-Null
    New-Item -Force "$classes\$type" -Value 'Ember conversation' | Out-Null
    New-Item -Force "$classes\$type\shell\open\command" -Value "`"$python`" -P -m app `"%1`"" | Out-Null
}

# Explorer looks at file types anew when it is told (SHCNE_ASSOCCHANGED).
$shell = Add-Type -PassThru -Name Shell -Namespace Ember -MemberDefinition @'
[DllImport("shell32.dll")]
public static extern void SHChangeNotify(int what, uint flags, System.IntPtr first, System.IntPtr second);
'@
$shell::SHChangeNotify(0x08000000, 0, [IntPtr]::Zero, [IntPtr]::Zero)
