"""The style sheet of every HTML view: JupyterLab's theme variables, with fallbacks that suit light and dark pages."""

from __future__ import annotations

__all__ = ["CSS"]

# Colours without a theme are half-transparent or mid-toned, so that they hold on white and on black alike.
# Each part of the bar has a texture of its own, and its legend the same one: colour is never the only difference.
CSS = """
.batchnb-job{box-sizing:border-box;max-width:860px;margin:4px 0;padding:10px 14px;
 border:1px solid var(--jp-border-color2,rgba(128,128,128,.4));border-radius:6px;
 color:var(--jp-ui-font-color1,inherit);font-family:var(--jp-ui-font-family,system-ui,sans-serif);
 font-size:13px;line-height:1.5;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.batchnb-job .widget-html,.batchnb-job .widget-html-content{margin:0;width:auto;height:auto;line-height:1.5;
 font-size:13px;color:inherit;overflow:visible}
.batchnb-head{display:flex;flex-wrap:wrap;align-items:baseline;gap:2px 10px}
.batchnb-dot{display:none}
.batchnb-name{font-weight:600;font-size:14px}
.batchnb-model{margin-left:auto;font-size:12px}
.batchnb-muted{color:var(--jp-ui-font-color2,inherit)}
.batchnb-badge{border:1px solid currentColor;border-radius:3px;padding:0 5px;font-size:11px;font-weight:700;
 letter-spacing:.06em;color:var(--batchnb-warn)}
.batchnb-job{--batchnb-good:var(--jp-success-color1,#3a8f47);--batchnb-bad:var(--jp-error-color1,#d0433c);
 --batchnb-warn:var(--jp-warn-color1,#c77700);--batchnb-busy:var(--jp-brand-color1,#2f7fd0);
 --batchnb-faint:var(--jp-ui-font-color3,#8a8a8a);--batchnb-gap:var(--jp-layout-color1,rgba(255,255,255,.45))}
.batchnb-bar{display:flex;gap:1px;height:14px;margin:8px 0 6px;border-radius:3px;overflow:hidden;
 background:var(--jp-layout-color2,rgba(128,128,128,.15))}
.batchnb-part{box-sizing:border-box;flex:1 1 0;min-width:4px}
.batchnb-swatch{box-sizing:border-box;display:inline-block;width:11px;height:11px;border-radius:2px;
 margin-right:5px;vertical-align:-1px}
.batchnb-legend>span,.batchnb-facts>span{white-space:nowrap}
.batchnb-succeeded{background:var(--batchnb-good)}
.batchnb-errored{background:repeating-linear-gradient(45deg,var(--batchnb-bad) 0 3px,var(--batchnb-gap) 3px 5px)}
.batchnb-canceled{background:repeating-linear-gradient(90deg,var(--batchnb-faint) 0 2px,var(--batchnb-gap) 2px 5px)}
.batchnb-expired{background:repeating-linear-gradient(0deg,var(--batchnb-warn) 0 2px,var(--batchnb-gap) 2px 4px)}
.batchnb-processing{border:1px solid var(--batchnb-busy);
 background:repeating-linear-gradient(135deg,transparent 0 7px,var(--batchnb-busy) 7px 8.5px,transparent 8.5px 14px);
 background-size:19.8px 100%}
.batchnb-unsent{border:1px dashed var(--batchnb-faint)}
@media (prefers-reduced-motion:no-preference){
 .batchnb-part.batchnb-active{animation:batchnb-drift 1.8s linear infinite}}
@keyframes batchnb-drift{to{background-position:19.8px 0}}
.batchnb-note{margin-top:6px;padding:3px 9px;border-left:3px solid var(--batchnb-warn)}
.batchnb-job ul.batchnb-errors{margin:2px 0 0;padding-left:20px}
.batchnb-foot{justify-content:space-between;align-items:center;gap:10px}
.batchnb-job button.batchnb-cancel{margin:2px 0;flex:none;min-width:84px}
.batchnb-prompts{margin:8px 0}
.batchnb-row{display:flex;gap:14px;padding:6px 0;border-top:1px solid var(--jp-border-color2,rgba(128,128,128,.4))}
.batchnb-row>:first-child{flex:0 0 84px}
.batchnb-row>:last-child{flex:1 1 0;min-width:0}
.batchnb-job .batchnb-prompt{margin:0;padding:0;white-space:pre-wrap;overflow-wrap:anywhere;word-break:normal;
 font-size:12px;line-height:1.55;font-family:var(--jp-code-font-family,monospace);color:inherit;background:none}
.batchnb-preview mark{padding:0 1px;background:rgba(255,196,0,.28);color:inherit;
 border-bottom:2px solid var(--batchnb-warn)}
.batchnb-preview summary{cursor:pointer}
.batchnb-job details .batchnb-prompt{margin-top:6px;max-height:320px;overflow:auto;padding:8px;border-radius:4px;
 background:var(--jp-layout-color2,rgba(128,128,128,.12))}
"""
