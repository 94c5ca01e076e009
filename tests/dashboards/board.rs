//! What dashboards are made of: expressions over the series of the chosen run, panels, and the frame around them.
//!
//! The JSON in `grafana/dashboards/` is written from here, so that what all dashboards share is said once.

use serde_json::{Value, json};

/// Where the run is the chosen one.
const OF_RUN: &str = r#"and on (job, instance) mcpace_run_info{run_id=~"$run"}"#;
/// Where a series has a flow, an operation and a phase.
pub(crate) const ARRIVALS: &str = r#"flow=~"$flow", operation=~"$operation", phase=~"$phase""#;
/// Where a series has a flow and a phase.
pub(crate) const FLOWS: &str = r#"flow=~"$flow", phase=~"$phase""#;
/// As finely as there are scrapes for.
pub(crate) const FINE: &str = "$__rate_interval";

/// The values of a metric.
pub(crate) fn series(metric: &str, labels: &str) -> String {
    format!("({metric}{{{labels}}} {OF_RUN})")
}

/// How fast a counter grows over a window.
pub(crate) fn rate(metric: &str, labels: &str, window: &str) -> String {
    format!("(rate({metric}{{{labels}}}[{window}]) {OF_RUN})")
}

/// The same as it was some time ago.
pub(crate) fn rate_before(metric: &str, labels: &str, window: &str, ago: &str) -> String {
    format!("(rate({metric}{{{labels}}}[{window}] offset {ago}) {OF_RUN} offset {ago})")
}

/// How fast a level rises or falls a second, by a straight line through a window.
pub(crate) fn slope(metric: &str, window: &str) -> String {
    format!("(deriv({metric}[{window}]) {OF_RUN})")
}

/// How much a counter grew over a window.
pub(crate) fn increase(metric: &str, labels: &str, window: &str) -> String {
    format!("(increase({metric}{{{labels}}}[{window}]) {OF_RUN})")
}

/// A quantile of a histogram of arrivals, by these labels.
pub(crate) fn quantile(q: &str, by: &str, buckets: &str) -> String {
    let by = if by.is_empty() { "le".to_owned() } else { format!("le, {by}") };
    format!("histogram_quantile({q}, sum by ({by}) {buckets})")
}

/// One query of a panel: what is asked, and what its series are called.
pub(crate) type Query = (String, &'static str);

/// A panel in the making.
pub(crate) struct Panel {
    title: &'static str,
    width: u64,
    height: u64,
    json: Value,
}

fn source() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

fn targets(queries: Vec<Query>, instant: bool) -> Value {
    let letters = 'A'..='Z';
    let target = |((expr, legend), letter): (Query, char)| {
        json!({
            "datasource": source(),
            "editorMode": "code",
            "expr": expr,
            "legendFormat": legend,
            "refId": letter.to_string(),
            "instant": instant,
            "range": !instant,
        })
    };
    queries.into_iter().zip(letters).map(target).collect()
}

impl Panel {
    fn new(kind: &str, title: &'static str, description: &str, unit: &str, targets: &Value) -> Self {
        let json = json!({
            "type": kind,
            "title": title,
            "description": description,
            "datasource": source(),
            "targets": targets,
            "fieldConfig": { "defaults": { "unit": unit, "custom": {} }, "overrides": [] },
            "options": {},
        });
        Self { title, width: 8, height: 8, json }
    }

    /// Lines over time.
    pub(crate) fn lines(title: &'static str, description: &str, unit: &str, queries: Vec<Query>) -> Self {
        let mut panel = Self::new("timeseries", title, description, unit, &targets(queries, false));
        panel.defaults()["custom"] = json!({
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 5,
            "showPoints": "never",
            "spanNulls": false,
        });
        panel.json["options"] = json!({
            "legend": { "displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"], "showLegend": true },
            "tooltip": { "mode": "multi", "sort": "desc" },
        });
        panel
    }

    /// The present value, large.
    pub(crate) fn stat(title: &'static str, description: &str, unit: &str, query: Query) -> Self {
        let mut panel = Self::new("stat", title, description, unit, &targets(vec![query], true)).sized(3, 4);
        panel.json["options"] = json!({
            "colorMode": "value",
            "graphMode": "none",
            "justifyMode": "auto",
            "textMode": "auto",
            "reduceOptions": { "calcs": ["lastNotNull"], "fields": "", "values": false },
        });
        panel.steps(&[("text", None)])
    }

    /// The name of the series that there is, large.
    pub(crate) fn name(title: &'static str, description: &str, query: Query, colours: &[(&str, &str)]) -> Self {
        let mut panel = Self::stat(title, description, "none", query);
        panel.json["options"]["textMode"] = json!("name");
        for (name, colour) in colours {
            panel = panel.overriding("byName", name, &[("color", json!({ "mode": "fixed", "fixedColor": colour }))]);
        }
        panel
    }

    /// Bands of what holds when.
    pub(crate) fn states(title: &'static str, description: &str, query: Query, states: [(&str, &str); 2]) -> Self {
        let mut panel = Self::new("state-timeline", title, description, "none", &targets(vec![query], false));
        let state = |(value, (text, colour)): (usize, &(&str, &str))| {
            (value.to_string(), json!({ "text": text, "color": colour, "index": value }))
        };
        let options: serde_json::Map<String, Value> = states.iter().enumerate().map(state).collect();
        panel.defaults()["custom"] = json!({ "lineWidth": 0, "fillOpacity": 80 });
        panel.defaults()["mappings"] = json!([{ "type": "value", "options": options }]);
        panel.json["options"] = json!({
            "showValue": "never",
            "mergeValues": true,
            "rowHeight": 0.8,
            "legend": { "displayMode": "list", "placement": "bottom", "showLegend": true },
            "tooltip": { "mode": "single", "sort": "none" },
        });
        panel.steps(&[(states[0].1, None), (states[1].1, Some(1.0))])
    }

    /// How times were spread, over time: from the buckets of a histogram.
    pub(crate) fn heat(title: &'static str, description: &str, expression: String) -> Self {
        let mut targets = targets(vec![(expression, "{{le}}")], false);
        targets[0]["format"] = json!("heatmap");
        let mut panel = Self::new("heatmap", title, description, "none", &targets);
        panel.defaults()["custom"] = json!({ "scaleDistribution": { "type": "linear" } });
        panel.json["options"] = json!({
            "calculate": false,
            "cellGap": 1,
            "cellValues": { "unit": "none" },
            "color": { "mode": "scheme", "scheme": "Oranges", "exponent": 0.5, "fill": "dark-orange", "reverse": false,
                "scale": "exponential", "steps": 64 },
            "exemplars": { "color": "rgba(255,0,255,0.7)" },
            "filterValues": { "le": 1e-9 },
            "legend": { "show": true },
            "rowsFrame": { "layout": "auto" },
            "tooltip": { "mode": "single", "showColorScale": false, "yHistogram": false },
            "yAxis": { "axisPlacement": "left", "reverse": false, "unit": "s" },
        });
        panel
    }

    pub(crate) fn sized(mut self, width: u64, height: u64) -> Self {
        (self.width, self.height) = (width, height);
        self
    }

    /// The axis begins at zero.
    pub(crate) fn zero_based(mut self) -> Self {
        self.defaults()["min"] = json!(0);
        self
    }

    /// Colours by value: each from its value on, the first from the lowest.
    pub(crate) fn steps(mut self, steps: &[(&str, Option<f64>)]) -> Self {
        let steps: Vec<Value> = steps.iter().map(|(color, value)| json!({ "color": color, "value": value })).collect();
        self.defaults()["thresholds"] = json!({ "mode": "absolute", "steps": steps });
        self.defaults()["color"] = json!({ "mode": "thresholds" });
        self
    }

    /// What this query answers is a bound: a dashed line.
    pub(crate) fn bound(self, query: &str) -> Self {
        let style = json!({ "fill": "dash", "dash": [10, 10] });
        let line = [("custom.lineStyle", style), ("custom.lineWidth", json!(2)), ("custom.fillOpacity", json!(0))];
        self.overriding("byFrameRefID", query, &line)
    }

    /// What this query answers has another unit, and the axis on the right.
    pub(crate) fn right(self, query: &str, unit: &str) -> Self {
        self.overriding("byFrameRefID", query, &[("unit", json!(unit)), ("custom.axisPlacement", json!("right"))])
    }

    fn overriding(mut self, matcher: &str, options: &str, properties: &[(&str, Value)]) -> Self {
        let properties: Vec<Value> = properties.iter().map(|(id, value)| json!({ "id": id, "value": value })).collect();
        let overrides = self.json["fieldConfig"]["overrides"].as_array_mut().expect("a list");
        overrides.push(json!({ "matcher": { "id": matcher, "options": options }, "properties": properties }));
        self
    }

    fn defaults(&mut self) -> &mut Value {
        &mut self.json["fieldConfig"]["defaults"]
    }
}

/// What of a dashboard is its own.
pub(crate) struct Board {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) description: &'static str,
    pub(crate) refresh: &'static str,
    pub(crate) from: &'static str,
    /// More variables: name, label, and the values to choose from, the first of which is the default.
    pub(crate) choices: &'static [(&'static str, &'static str, &'static [&'static str])],
    /// Rows of panels; one without a title has no heading.
    pub(crate) rows: Vec<(&'static str, Vec<Panel>)>,
}

impl Board {
    /// The dashboard as Grafana reads it.
    pub(crate) fn json(self) -> Value {
        let variables: Vec<Value> = variables()
            .into_iter()
            .chain(self.choices.iter().map(|(name, label, of)| choice(name, label, of)))
            .collect();
        json!({
            "uid": format!("mcpace-{}", self.name),
            "title": self.title,
            "description": self.description,
            "tags": ["mcpace"],
            "schemaVersion": 42,
            "version": 1,
            "editable": true,
            "graphTooltip": 1,
            "fiscalYearStartMonth": 0,
            "liveNow": false,
            "refresh": self.refresh,
            "time": { "from": self.from, "to": "now" },
            "timepicker": {},
            "timezone": "browser",
            "weekStart": "",
            "links": [{
                "type": "dashboards",
                "title": "mcpace",
                "tags": ["mcpace"],
                "asDropdown": false,
                "includeVars": true,
                "keepTime": true,
                "targetBlank": false,
                "icon": "external link",
                "tooltip": "",
                "url": "",
            }],
            "annotations": { "list": annotations() },
            "templating": { "list": variables },
            "panels": laid_out(self.rows),
        })
    }
}

/// Gives panels their ids and places: from left to right, and a new line where there is no room.
fn laid_out(rows: Vec<(&str, Vec<Panel>)>) -> Vec<Value> {
    let mut panels = Vec::new();
    let mut top = 0;
    for (heading, row) in rows {
        if !heading.is_empty() {
            let place = json!({ "x": 0, "y": top, "w": 24, "h": 1 });
            panels.push(json!({ "type": "row", "title": heading, "collapsed": false, "gridPos": place, "panels": [] }));
            top += 1;
        }
        let (mut left, mut bottom) = (0, top);
        for panel in row {
            let Panel { title, width, height, mut json } = panel;
            assert!(width <= 24, "{title}");
            if left + width > 24 {
                (left, top) = (0, bottom);
            }
            json["gridPos"] = json!({ "x": left, "y": top, "w": width, "h": height });
            (left, bottom) = (left + width, bottom.max(top + height));
            panels.push(json);
        }
        top = bottom;
    }
    for (panel, id) in panels.iter_mut().zip(1..) {
        panel["id"] = json!(id);
    }
    panels
}

/// The choices that every dashboard has.
fn variables() -> Vec<Value> {
    vec![
        json!({
            "name": "datasource",
            "label": "Data source",
            "type": "datasource",
            "query": "prometheus",
            "current": {},
            "options": [],
            "hide": 0,
            "includeAll": false,
            "multi": false,
            "refresh": 1,
            "regex": "",
            "skipUrlSync": false,
        }),
        asked("run", "Run", "mcpace_run_info", "run_id"),
        asked("flow", "Flow", "mcpace_arrivals_scheduled_total", "flow"),
        asked("operation", "Operation", r#"mcpace_arrivals_scheduled_total{flow=~"$flow"}"#, "operation"),
        choice("phase", "Phase", &["measure", "warmup"]),
    ]
}

/// A choice among the values that a label of a metric has.
fn asked(name: &str, label: &str, metric: &str, of: &str) -> Value {
    let query = format!("label_values({metric}, {of})");
    json!({
        "name": name,
        "label": label,
        "type": "query",
        "datasource": source(),
        "definition": query,
        "query": { "qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery" },
        "regex": "",
        "refresh": 2,
        "sort": 1,
        "multi": true,
        "includeAll": true,
        "allValue": ".*",
        "current": { "text": ["All"], "value": ["$__all"] },
        "options": [],
        "hide": 0,
        "skipUrlSync": false,
    })
}

/// A choice among fixed values: one of times, or any of words.
fn choice(name: &str, label: &str, values: &[&str]) -> Value {
    let is_time = values.iter().all(|value| value.starts_with(|first: char| first.is_ascii_digit()));
    let option =
        |text: &str, value: &str, selected: bool| json!({ "selected": selected, "text": text, "value": value });
    let mut options: Vec<Value> =
        values.iter().enumerate().map(|(place, value)| option(value, value, is_time && place == 0)).collect();
    let current = if is_time {
        json!({ "text": values[0], "value": values[0] })
    } else {
        options.insert(0, option("All", "$__all", true));
        json!({ "text": ["All"], "value": ["$__all"] })
    };
    json!({
        "name": name,
        "label": label,
        "type": "custom",
        "query": values.join(","),
        "multi": !is_time,
        "includeAll": !is_time,
        "allValue": ".*",
        "current": current,
        "options": options,
        "hide": 0,
        "skipUrlSync": false,
    })
}

/// What is marked on every panel: when a run begins and ends, when it changes its phase, when its target stands still, when
/// somebody changes its load, when an alert fires.
fn annotations() -> Vec<Value> {
    let begins = |states: &str| {
        let labels = format!("state=~\"{states}\"");
        format!("{} * 1000", series("mcpace_run_state_begin_timestamp_seconds", &labels))
    };
    let still = increase("mcpace_target_frozen_seconds_total", "", FINE);
    let changed = increase("mcpace_changes_total", "", FINE);
    let alerts = r#"ALERTS{alertname=~"Mcpace.+", alertstate="firing"}"#;
    let mut all = vec![json!({
        "builtIn": 1,
        "datasource": { "type": "grafana", "uid": "-- Grafana --" },
        "enable": true,
        "hide": true,
        "iconColor": "rgba(0, 211, 255, 1)",
        "name": "Annotations & Alerts",
        "type": "dashboard",
    })];
    for (name, expr, title, colour, at_value) in [
        ("Begin and end", begins("starting|ended"), "{{state}}", "blue", true),
        ("Phases", begins("warmup|measure|paused|draining"), "{{state}}", "green", true),
        ("Freezes", format!("{still} > 0"), "the target stands still", "orange", false),
        ("Changes by hand", format!("{changed} > 0"), "{{act}} by hand", "purple", false),
        ("Alerts", alerts.to_owned(), "{{alertname}}", "red", false),
    ] {
        all.push(json!({
            "name": name,
            "datasource": source(),
            "enable": true,
            "hide": false,
            "iconColor": colour,
            "expr": expr,
            "step": "5s",
            "titleFormat": title,
            "textFormat": "{{instance}} {{objective}}",
            "tagKeys": "instance",
            "useValueForTime": at_value,
        }));
    }
    all
}
