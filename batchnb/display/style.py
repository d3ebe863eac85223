"""The style sheet of every HTML view: JupyterLab's theme variables, with fallbacks that suit light and dark pages."""

from __future__ import annotations

__all__ = ["CSS"]

# Colours without a theme are half-transparent or mid-toned, so that they hold on white and on black alike. No text is
# coloured: what must stand out has a coloured edge. Each part of the bar has a texture of its own, and its legend the
# same one: colour is never the only difference.
# Front ends give tables, buttons and `pre` rules of their own, often under an element's name: ours name two classes.
CSS = """
.batchnb-job{box-sizing:border-box;max-width:860px;margin:4px 0;padding:10px 14px;container-type:inline-size;
 border:1px solid var(--jp-border-color2,rgba(128,128,128,.4));border-radius:6px;
 color:var(--jp-ui-font-color1,inherit);font-family:var(--jp-ui-font-family,system-ui,sans-serif);
 font-size:13px;line-height:1.5;font-variant-numeric:tabular-nums;overflow-wrap:anywhere;
 --batchnb-good:var(--jp-success-color1,#3a8f47);--batchnb-bad:var(--jp-error-color1,#d0433c);
 --batchnb-warn:var(--jp-warn-color0,#c77700);--batchnb-busy:var(--jp-brand-color1,#2f7fd0);
 --batchnb-faint:var(--jp-ui-font-color2,#8a8a8a);--batchnb-gap:var(--jp-layout-color1,rgba(255,255,255,.45));
 --batchnb-line:var(--jp-border-color2,rgba(128,128,128,.4));--batchnb-shade:var(--jp-layout-color2,rgba(128,128,128,.12))}
.batchnb-job .batchnb-job{border-width:1px 0 0;border-radius:0;padding:10px 0 0;max-width:none}
.batchnb-job .widget-html,.batchnb-job .widget-html-content{margin:0;width:auto;height:auto;line-height:1.5;
 font-size:13px;color:inherit;overflow:visible}
.batchnb-head{display:flex;flex-wrap:wrap;align-items:baseline;gap:2px 10px}
.batchnb-dot{display:none}
.batchnb-name{font-weight:600;font-size:14px}
.batchnb-model{margin-left:auto;font-size:12px}
.batchnb-muted{color:var(--jp-ui-font-color2,inherit)}
.batchnb-small{font-size:12px}
.batchnb-badge{border:1.5px solid var(--batchnb-warn);border-radius:3px;padding:0 5px;font-size:11px;font-weight:700;
 letter-spacing:.06em}
.batchnb-bar{display:flex;gap:1px;height:14px;margin:8px 0 6px;border-radius:3px;overflow:hidden}
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
.batchnb-hint{margin-top:6px}
.batchnb-job ul.batchnb-errors{margin:2px 0 0;padding-left:20px}
.batchnb-job :is(.batchnb-foot,.batchnb-actions){display:flex;flex-flow:row wrap;align-items:center;gap:4px 10px;
 overflow:visible}
.batchnb-job .batchnb-foot{justify-content:space-between;margin-top:6px}
.batchnb-job>.batchnb-actions{margin-top:8px}
.batchnb-job button.batchnb-button{margin:0;flex:none;min-width:84px;height:28px;line-height:26px;padding:0 12px;
 border-radius:3px;border:1px solid var(--batchnb-line)}
.batchnb-job button.batchnb-button.mod-warning{border:2px solid var(--batchnb-warn);line-height:24px;font-weight:700;
 color:inherit;background:none}
.batchnb-job button.batchnb-button:focus-visible{outline:2px solid var(--batchnb-busy);outline-offset:1px}
.batchnb-job summary{cursor:pointer;width:fit-content}
.batchnb-job summary:focus-visible{outline:2px solid var(--batchnb-busy);outline-offset:1px}
.batchnb-foot:has(details:not([open]))+.batchnb-folded{display:none}
.batchnb-scroll{overflow-x:auto}
.batchnb-job table.batchnb-table{margin:4px 0 0;border-collapse:collapse;border:0;table-layout:auto;width:100%;
 font-size:12px;color:inherit}
.batchnb-job .batchnb-table :is(th,td){padding:3px 12px 3px 0;text-align:left;vertical-align:baseline;border:0;
 border-bottom:1px solid var(--batchnb-line);background:none;white-space:nowrap;max-width:none}
.batchnb-job .batchnb-table th{font-weight:600}
.batchnb-job .batchnb-table .batchnb-number{text-align:right}
.batchnb-job .batchnb-table .batchnb-wide{white-space:normal;min-width:90px}
.batchnb-job .batchnb-list td{vertical-align:top}
.batchnb-job .batchnb-list .batchnb-what{white-space:normal;min-width:170px}
.batchnb-list .batchnb-whole{white-space:nowrap}
.batchnb-job .batchnb-list .batchnb-outcome{white-space:normal;min-width:130px}
.batchnb-list .batchnb-bar{margin:4px 0 2px;height:10px}
.batchnb-job .batchnb-chosen{width:auto;max-width:320px;margin:0}
.batchnb-job .batchnb-chosen label{width:auto;margin-right:8px}
.batchnb-job .batchnb-table code{font-size:11px;padding:0;color:inherit;background:none;
 font-family:var(--jp-code-font-family,monospace)}
.batchnb-prompts{margin:8px 0}
.batchnb-row{display:flex;gap:14px;padding:6px 0;border-top:1px solid var(--batchnb-line)}
.batchnb-row>:first-child{flex:0 0 84px}
.batchnb-row>:last-child{flex:1 1 0;min-width:0}
.batchnb-job pre.batchnb-prompt{margin:0;padding:0;white-space:pre-wrap;overflow-wrap:anywhere;word-break:normal;
 font-size:12px;line-height:1.55;font-family:var(--jp-code-font-family,monospace);color:inherit;background:none}
.batchnb-preview mark{padding:0 1px;background:rgba(255,196,0,.28);color:inherit;
 border-bottom:2px solid var(--batchnb-warn)}
.batchnb-job details pre.batchnb-prompt{margin-top:6px;max-height:320px;overflow:auto;padding:8px;border-radius:4px;
 background:var(--batchnb-shade)}
@container (max-width:520px){
 .batchnb-row{flex-direction:column;gap:2px}
 .batchnb-row>:is(:first-child,:last-child){flex:none}
 .batchnb-job table.batchnb-list,.batchnb-list tbody{display:block}
 .batchnb-list thead{display:none}
 .batchnb-job .batchnb-list tr{display:grid;grid-template-columns:24px 1fr auto;padding:5px 0;
  border-bottom:1px solid var(--batchnb-line)}
 .batchnb-job .batchnb-list td{border:0;padding:1px 0 1px 8px}
 .batchnb-job .batchnb-list .batchnb-place{padding-left:0}
 .batchnb-job .batchnb-list .batchnb-state{grid-area:1/3;text-align:right}
 .batchnb-list .batchnb-outcome{grid-area:2/2/4/3}
 .batchnb-list .batchnb-number{grid-column:3}
 .batchnb-list .batchnb-number:not(.batchnb-cost)::after{content:" " attr(data-name)}
 .batchnb-list .batchnb-cost::before{content:attr(data-name) " "}}
.batchnb-compose .batchnb-preview .batchnb-badge{display:none}
.batchnb-compose .batchnb-controls{gap:6px;margin:10px 0 12px;overflow:visible}
.batchnb-compose .batchnb-field{margin:0;width:auto;min-width:0}
.batchnb-job.batchnb-compose .widget-label{flex:none;width:98px;margin:0;padding:0 10px 0 0;box-sizing:border-box;
 text-align:left;color:inherit;font-size:13px}
.batchnb-compose .batchnb-field :is(input,select){font-family:inherit;font-size:13px}
.batchnb-compose .batchnb-field select{appearance:auto;background-image:none}
.batchnb-compose .batchnb-field textarea{font-family:var(--jp-code-font-family,monospace);font-size:12px;
 line-height:1.55}
.batchnb-job .batchnb-insert{display:flex;flex-flow:row wrap;align-items:center;gap:4px 6px;padding-left:98px;
 max-height:120px;overflow:auto}
.batchnb-job.batchnb-compose .batchnb-insert .widget-label{margin-left:-98px;margin-right:-6px;height:28px;
 line-height:28px}
.batchnb-job.batchnb-compose .batchnb-insert .widget-label.batchnb-more{margin:0;width:auto}
.batchnb-job button.batchnb-chip{margin:2px 0;flex:none;max-width:100%;height:24px;line-height:22px;padding:0 8px;
 border-radius:12px;border:1px solid var(--batchnb-line);font-size:12px;
 font-family:var(--jp-code-font-family,monospace)}
.batchnb-job button.batchnb-chip:focus-visible{outline:2px solid var(--batchnb-busy);outline-offset:1px}
.batchnb-job .batchnb-fields{display:grid;grid-template-columns:repeat(auto-fit,minmax(280px,1fr));gap:6px 18px;
 overflow:visible}
.batchnb-fields>.batchnb-broad{grid-column:1/-1}
.batchnb-job .batchnb-pick{display:flex;flex-flow:row wrap;align-items:center;gap:6px 10px;overflow:visible}
.batchnb-job .batchnb-pick .batchnb-field{flex:none;width:184px}
.batchnb-compose .batchnb-prompts{max-height:400px;overflow-y:auto;border-bottom:1px solid var(--batchnb-line)}
.batchnb-job button.batchnb-submit{font-weight:600}
.batchnb-compose .batchnb-problem{margin-bottom:6px}
.batchnb-trial .batchnb-job{margin-top:12px}
.batchnb-answers{margin:6px 0 4px}
.batchnb-codebox{margin-top:12px}
.batchnb-job pre.batchnb-code{margin:4px 0;padding:8px 10px;border:1px solid var(--batchnb-line);border-radius:4px;
 background:var(--jp-cell-editor-background,var(--batchnb-shade))}
.batchnb-job .batchnb-code:focus-visible{outline:2px solid var(--batchnb-busy);outline-offset:1px}
"""
